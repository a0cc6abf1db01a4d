# Movies become tables of positions: one job a movie.


rule localize:
    input:
        movie=movie_files,
        psf=of_optics("psf.npz"),
        fcn=of_optics("fcn.onnx"),
        cnn=of_optics("cnn.onnx"),
        calibration=of_optics("calibration.json"),
    output:
        localizations="results/acquisitions/{acquisition}/localizations.parquet",
        info="results/acquisitions/{acquisition}/localization.json",
    log:
        "results/logs/acquisitions/{acquisition}/localize.log",
    benchmark:
        "results/benchmarks/acquisitions/{acquisition}/localize.tsv"
    conda:
        "../../envs/localization.yaml"
    threads: threads_of_a_movie
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        code=code_of("scripts/localize.py"),
        blur_um=movie_blur,
        acquisition=imaging,
        localization=setting("localization"),
    script:
        "../scripts/localize.py"
