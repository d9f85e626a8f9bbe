"""What a training run is told: one TOML file, read into frozen dataclasses, with the paper's recipe as defaults."""
