# A look at stacks and movies before anything is trained: `snakemake preview`. The stacks' part is what the full run needs too.


rule preview_movie:
    input:
        movie=movie_files,
        psf=of_optics("psf.npz"),
    output:
        figure="results/preview/{acquisition}.png",
        facts="results/preview/{acquisition}.json",
    log:
        "results/logs/preview/{acquisition}.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/preview_movie.py"),
        acquisition=imaging,
        training=setting(
            "training", without={*FOR_SCENES, *FOR_FITTING} - {"density_per_um2"}
        ),
    script:
        "../scripts/preview_movie.py"


rule preview:
    input:
        expand(
            "results/optics/{optics}/{file}",
            optics=analysis.optics,
            file=[
                "psf.npz",
                "beads.csv",
                "figures/psf.png",
                "figures/precision_limit.png",
            ],
        ),
        expand("results/optics/{optics}/figures/beads.png", optics=MEASURED),
        lambda wildcards: [
            f"results/preview/{name}.{kind}"
            for name in MOVIES
            for kind in ("png", "json")
        ],
    output:
        page="results/preview.html",
        sides=expand(
            "results/preview/optics/{optics}_sides.png", optics=analysis.optics
        ),
    log:
        "results/logs/preview.log",
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=code_of("scripts/preview.py"),
        training=setting("training", without=[*FOR_SCENES, *FOR_FITTING]),
        cameras={row["optics"]: row for row in reversed([*STACKS, *TRAINED.values()])},
        movies=list(MOVIES),
    script:
        "../scripts/preview.py"
