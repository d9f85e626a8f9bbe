"""An image encoder that begins by seeing: what stands in which part of a picture, before any word or motion."""
