# From the PSF model to a pair of networks, and to what they can do.


rule augment:
    input:
        psf="results/optics/{optics}/psf.npz",
    output:
        # kept, though large: Snakemake would train again whenever it had to make a deleted scene file again
        training="results/optics/{optics}/scenes/training.npz",
        held_out="results/optics/{optics}/scenes/held_out.npz",
        figure=report(
            "results/optics/{optics}/figures/scenes.png",
            caption="../report/scenes.rst",
            category="2. Networks",
            subcategory="{optics}",
            labels={"figure": "Training scenes"},
        ),
    log:
        "results/logs/optics/{optics}/augment.log",
    benchmark:
        "results/benchmarks/optics/{optics}/augment.tsv"
    wildcard_constraints:
        optics=one_of(MEASURED),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_of("scripts/augment.py"),
        blur_um=optics_blur,
        training=setting("training", without=FOR_FITTING),
        camera=training_camera,
    script:
        "../scripts/augment.py"


rule train_fcn:
    input:
        scenes="results/optics/{optics}/scenes/training.npz",
    output:
        network="results/optics/{optics}/fcn.keras",
        onnx="results/optics/{optics}/fcn.onnx",
        curve="results/optics/{optics}/fcn_training.csv",
    log:
        "results/logs/optics/{optics}/train_fcn.log",
    benchmark:
        "results/benchmarks/optics/{optics}/train_fcn.tsv"
    wildcard_constraints:
        optics=one_of(MEASURED),
    retries: 0  # a cluster would try again inside the same allocation, and run out of time there
    conda:
        "../../envs/keras.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        code=code_of("scripts/train_fcn.py"),
        blur_um=optics_blur,
        checkpoint="results/optics/{optics}/fcn_checkpoint.npz",
        training=setting("training", without=FOR_CNN),
        camera=training_camera,
    script:
        "../scripts/train_fcn.py"


rule train_cnn:
    input:
        scenes="results/optics/{optics}/scenes/training.npz",
        fcn="results/optics/{optics}/fcn.keras",
        curve="results/optics/{optics}/fcn_training.csv",
    output:
        network="results/optics/{optics}/cnn.keras",
        onnx="results/optics/{optics}/cnn.onnx",
        curve="results/optics/{optics}/training.csv",
    log:
        "results/logs/optics/{optics}/train_cnn.log",
    benchmark:
        "results/benchmarks/optics/{optics}/train_cnn.tsv"
    wildcard_constraints:
        optics=one_of(MEASURED),
    retries: 0  # a cluster would try again inside the same allocation, and run out of time there
    conda:
        "../../envs/keras.yaml"
    threads: 2
    resources:
        mem_mb=8000,
        runtime=480,
    params:
        code=code_of("scripts/train_cnn.py"),
        blur_um=optics_blur,
        checkpoint="results/optics/{optics}/cnn_checkpoint.npz",
        training=setting("training", without=FOR_FCN),
        camera=training_camera,
    script:
        "../scripts/train_cnn.py"


rule evaluate:
    input:
        psf="results/optics/{optics}/psf.npz",
        beads="results/optics/{optics}/beads.csv",
        stacks=stack_files,
        scenes="results/optics/{optics}/scenes/held_out.npz",
        fcn="results/optics/{optics}/fcn.onnx",
        cnn="results/optics/{optics}/cnn.onnx",
    output:
        evaluation="results/optics/{optics}/evaluation.csv",
        calibration="results/optics/{optics}/calibration.json",
    log:
        "results/logs/optics/{optics}/evaluate.log",
    benchmark:
        "results/benchmarks/optics/{optics}/evaluate.tsv"
    wildcard_constraints:
        optics=one_of(MEASURED),
    conda:
        "../../envs/localization.yaml"
    threads: 2
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_of("scripts/evaluate.py"),
        stacks=stacks,
        training=setting("training", without=FOR_FITTING),
        camera=training_camera,
        localization=setting("localization", without=["search", "batch_frames"]),
    script:
        "../scripts/evaluate.py"
