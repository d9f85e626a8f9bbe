"""A plan put into a graph, one rewrite per file: what products, tables and their activations become."""

from __future__ import annotations

from quant.rewrite.model import OPERATORS, REWRITES, quantize_model
from quant.rewrite.work import EMULATED, FORMS, ORT, QDQ, original

__all__ = ["EMULATED", "FORMS", "OPERATORS", "ORT", "QDQ", "REWRITES", "original", "quantize_model"]
