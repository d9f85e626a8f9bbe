"""optimum's quantizer on one graph, run by the Python that has optimum: it wants an older transformers than ours.

    PYTHON optimum_quantizer.py SOURCE.onnx TARGET.onnx NODES.json

Imports nothing of ours.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path


def main() -> None:
    """Dynamic INT8 for AVX512-VNNI, per channel; the named nodes alone."""
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig

    source, target, nodes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(Path(sys.argv[3]).read_text())
    config = AutoQuantizationConfig.avx512_vnni(
        is_static=False, per_channel=True, nodes_to_quantize=nodes, operators_to_quantize=["MatMul"]
    )
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        ORTQuantizer(source).quantize(config, save_dir=folder, file_suffix="", use_external_data_format=True)
        for made in Path(folder).iterdir():
            if made.suffix != ".json":
                shutil.move(made, target.with_name(made.name))


if __name__ == "__main__":
    main()
