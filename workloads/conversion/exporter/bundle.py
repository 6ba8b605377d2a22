"""Drafter and zero per-layer embeddings into the exporter's bundle, whose other sections are copied as they are."""

from tempfile import TemporaryDirectory

from litert_lm_builder.litertlm_builder import LitertLmFileBuilder, TfLiteModelType

from workloads.conversion.exporter.layout import Export


def write(plan: Export) -> None:
    """pair.litertlm in the plan's folder."""
    with TemporaryDirectory() as unpacked:
        builder = LitertLmFileBuilder.unpack(str(plan.unbundled), unpacked)
        builder.add_tflite_model(str(plan.zeros), TfLiteModelType.PER_LAYER_EMBEDDER)
        builder.add_tflite_model(str(plan.drafter), TfLiteModelType.MTP_DRAFTER)
        with plan.bundle.open("wb") as stream:
            builder.build(stream)
