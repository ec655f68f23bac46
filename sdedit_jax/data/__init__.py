"""Sources of images and the batches made of them. Import the modules: they load TFDS and Grain, this does not."""
