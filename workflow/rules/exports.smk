# Localizations and tracks for other programs, where the config asks for them.


rule export:
    input:
        localizations="results/acquisitions/{acquisition}/localizations.parquet",
        info="results/acquisitions/{acquisition}/localization.json",
        tracks="results/acquisitions/{acquisition}/tracks.parquet",
        psf=of_optics("psf.npz"),
    output:
        expand(
            "results/acquisitions/{{acquisition}}/exports/{file}",
            file=export_files(analysis.config["export"] or EXPORTS),
        ),
    log:
        "results/logs/acquisitions/{acquisition}/export.log",
    conda:
        "../../envs/tracking.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_of("scripts/export.py"),
        acquisition=acquisition,
    script:
        "../scripts/export.py"
