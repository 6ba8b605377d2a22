"""The steps of a LiteRT-LM export, in the exporter's own environment; ``workloads.conversion.litert`` runs them."""
