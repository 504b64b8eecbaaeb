"""What a photo is to look like: decided once for the whole of it, then carried out tile by tile."""
