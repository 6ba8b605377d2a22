"""The MLX adapter's parts over mlx-vlm. Imported only once an engine opens: all but `view` load MLX."""
