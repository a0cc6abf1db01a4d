# Positions become tracks; tracks become diffusion coefficients and a verdict.


rule link:
    input:
        localizations="results/acquisitions/{acquisition}/localizations.parquet",
        info="results/acquisitions/{acquisition}/localization.json",
    output:
        tracks="results/acquisitions/{acquisition}/tracks.parquet",
    log:
        "results/logs/acquisitions/{acquisition}/link.log",
    conda:
        "../../envs/tracking.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_of("scripts/link.py"),
        acquisition=acquisition,
        linking=setting("linking"),
    script:
        "../scripts/link.py"


rule diffusion:
    input:
        tracks="results/acquisitions/{acquisition}/tracks.parquet",
        localizations="results/acquisitions/{acquisition}/localizations.parquet",
        info="results/acquisitions/{acquisition}/localization.json",
    output:
        msd="results/acquisitions/{acquisition}/msd.csv",
        brownian="results/acquisitions/{acquisition}/brownian.json",
    log:
        "results/logs/acquisitions/{acquisition}/diffusion.log",
    conda:
        "../../envs/tracking.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=code_of("scripts/diffusion.py"),
        acquisition=acquisition,
        linking=setting("linking"),
        brownian=setting("brownian"),
        seed=analysis.config["training"]["seed"],
    script:
        "../scripts/diffusion.py"
