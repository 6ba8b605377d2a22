"""llama.cpp: its server's arguments, model files, embedded launch, and a session over its HTTP API."""
