# Pictures of everything, the summary of all movies, and one file to read.


rule draw_networks:
    input:
        fcn="results/optics/{optics}/fcn.keras",
        cnn="results/optics/{optics}/cnn.keras",
    output:
        fcn=report(
            "results/optics/{optics}/figures/fcn.png",
            caption="../report/fcn.rst",
            category="2. Networks",
            subcategory="{optics}",
            labels={"figure": "FCN: whole image to x, y"},
        ),
        cnn=report(
            "results/optics/{optics}/figures/cnn.png",
            caption="../report/cnn.rst",
            category="2. Networks",
            subcategory="{optics}",
            labels={"figure": "CNN: crop to x, y, z"},
        ),
    log:
        "results/logs/optics/{optics}/draw_networks.log",
    conda:
        "../../envs/keras.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/draw_networks.py"),
    script:
        "../scripts/draw_networks.py"


rule draw_training:
    input:
        training="results/optics/{optics}/training.csv",
        evaluation="results/optics/{optics}/evaluation.csv",
        limit="results/optics/{optics}/precision_limit.csv",
        calibration="results/optics/{optics}/calibration.json",
    output:
        numbers=report(
            "results/optics/{optics}/figures/in_numbers.html",
            caption="../report/in_numbers.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "In numbers"},
        ),
        training=report(
            "results/optics/{optics}/figures/training.png",
            caption="../report/training.rst",
            category="2. Networks",
            subcategory="{optics}",
            labels={"figure": "Training curves"},
        ),
        evaluation=report(
            "results/optics/{optics}/figures/evaluation.png",
            caption="../report/evaluation.rst",
            category="2. Networks",
            subcategory="{optics}",
            labels={"figure": "Evaluation on held-out data"},
        ),
    log:
        "results/logs/optics/{optics}/draw_training.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_of("scripts/draw_training.py"),
        localization=setting("localization", without=["batch_frames"]),
    script:
        "../scripts/draw_training.py"


rule draw_movie:
    input:
        movie=movie_files,
        localizations="results/acquisitions/{acquisition}/localizations.parquet",
        info="results/acquisitions/{acquisition}/localization.json",
        tracks="results/acquisitions/{acquisition}/tracks.parquet",
        msd="results/acquisitions/{acquisition}/msd.csv",
        brownian="results/acquisitions/{acquisition}/brownian.json",
    output:
        frame=report(
            "results/acquisitions/{acquisition}/figures/frame.png",
            caption="../report/frame.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "A frame and its localizations"},
        ),
        localizations=report(
            "results/acquisitions/{acquisition}/figures/localizations.png",
            caption="../report/localizations.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Localizations in 3D"},
        ),
        tracks=report(
            "results/acquisitions/{acquisition}/figures/tracks.png",
            caption="../report/tracks.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Tracks in 3D"},
        ),
        msd=report(
            "results/acquisitions/{acquisition}/figures/msd.png",
            caption="../report/msd.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Mean squared displacement"},
        ),
        displacements=report(
            "results/acquisitions/{acquisition}/figures/displacements.png",
            caption="../report/displacements.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Displacements"},
        ),
        checks=report(
            "results/acquisitions/{acquisition}/figures/checks.png",
            caption="../report/checks.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Beads alike, everywhere, without memory"},
        ),
        film="results/acquisitions/{acquisition}/figures/film.webp",
        thumbnail="results/acquisitions/{acquisition}/figures/thumbnail.webp",
        page=report(
            "results/acquisitions/{acquisition}/figures/tracks.html",
            caption="../report/turn.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Tracks to turn, and the film"},
        ),
        quality=report(
            "results/acquisitions/{acquisition}/figures/quality.png",
            caption="../report/quality.rst",
            category="3. Movies",
            subcategory="{acquisition}",
            labels={"figure": "Numbers, uncertainties, flags"},
        ),
    log:
        "results/logs/acquisitions/{acquisition}/draw_movie.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=20,
    params:
        code=code_of("scripts/draw_movie.py"),
        acquisition=acquisition,
    script:
        "../scripts/draw_movie.py"


# without a picture of any movie: the report asks for this table, and would take along all that it rests on
rule summarize:
    input:
        localizations=of_every_movie("localizations.parquet"),
        brownian=of_every_movie("brownian.json"),
        info=of_every_movie("localization.json"),
    output:
        table=report(
            "results/summary.csv",
            caption="../report/summary.rst",
            category="0. Summary",
            labels={"figure": "Table"},
        ),
        figure=report(
            "results/figures/summary.png",
            caption="../report/summary.rst",
            category="0. Summary",
            labels={"figure": "Diffusion coefficients and verdicts"},
        ),
    log:
        "results/logs/summarize.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_of("scripts/summarize.py"),
        optics=analysis.acquisitions["optics"].to_dict(),
        failed=FAILED,
    script:
        "../scripts/summarize.py"


rule manifest:
    input:
        sheets=[analysis.config["bead_stacks"], analysis.config["acquisitions"]],
        data=all_inputs,
    output:
        "results/manifest.json",
    log:
        "results/logs/manifest.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=500,
        runtime=60,
    params:
        code=code_of_all(),
        config=without_keys(analysis.config, ["failed"]),
        from_files=analysis.from_files,
    script:
        "../scripts/manifest.py"


rule report:
    input:
        of_every_optics,
        "results/manifest.json",
        table="results/summary.csv",
        # made by the job that draws all of a movie
        thumbnails=of_every_movie("figures/thumbnail.webp"),
    output:
        report="results/report.html",
        page="results/figures/verdicts.html",
    log:
        "results/logs/report.log",
    conda:
        "../../envs/report.yaml"
    resources:
        mem_mb=2000,
        runtime=30,
    params:
        code=code_of("scripts/report.py"),
        movies=FINISHING,
        figures=[
            figure for name in sorted(OPTICS) for figure in figures_of_optics(name)
        ],
        captions=captions(),
    script:
        "../scripts/report.py"
