# Bead stacks become a model of the PSF, and the best precision that it allows.


rule ingest_beads:
    input:
        stacks=stack_files,
    output:
        psf="results/optics/{optics}/psf.npz",
        beads="results/optics/{optics}/beads.csv",
        limit="results/optics/{optics}/precision_limit.csv",
        psf_figure=report(
            "results/optics/{optics}/figures/psf.png",
            caption="../report/psf.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "PSF over z"},
        ),
        beads_figure=report(
            "results/optics/{optics}/figures/beads.png",
            caption="../report/beads.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "Beads of the stacks"},
        ),
        limit_figure=report(
            "results/optics/{optics}/figures/precision_limit.png",
            caption="../report/precision_limit.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "Precision limit"},
        ),
    log:
        "results/logs/optics/{optics}/ingest_beads.log",
    benchmark:
        "results/benchmarks/optics/{optics}/ingest_beads.tsv"
    wildcard_constraints:
        optics=one_of(MEASURED),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_of("scripts/ingest_beads.py"),
        stacks=stacks,
        beads=setting("beads"),
        axial_range_um=analysis.config["axial_range_um"],
        training=setting("training", without=[*FOR_SCENES, *FOR_FITTING]),
    script:
        "../scripts/ingest_beads.py"
