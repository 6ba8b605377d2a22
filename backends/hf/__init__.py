"""What adapters over Hugging Face modules share. Imported only once an engine opens: these modules load PyTorch."""
