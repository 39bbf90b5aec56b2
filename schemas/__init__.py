"""What crosses a wire or is stored: pure data, importing nothing of ours."""
