# Networks that another analysis trained, in place of bead stacks and training.


rule bring_networks:
    input:
        trained_files,
    output:
        files=expand(
            "results/optics/{{optics}}/{file}",
            file=trained.FILES,
        ),
        psf_figure=report(
            "results/optics/{optics}/figures/psf.png",
            caption="../report/psf.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "PSF over z"},
        ),
        limit_figure=report(
            "results/optics/{optics}/figures/precision_limit.png",
            caption="../report/precision_limit.rst",
            category="1. Optics",
            subcategory="{optics}",
            labels={"figure": "Precision limit"},
        ),
    log:
        "results/logs/optics/{optics}/bring_networks.log",
    wildcard_constraints:
        optics=one_of(TRAINED),
    conda:
        "../../envs/imaging.yaml"
    resources:
        mem_mb=2000,
        runtime=10,
    params:
        code=code_of("scripts/bring_networks.py"),
        folder=lambda wildcards: TRAINED[wildcards.optics]["trained"],
    script:
        "../scripts/bring_networks.py"
