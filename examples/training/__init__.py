"""What the training programs share: data by grain, jitted steps, torch beside, checkpoints, meshes, pictures."""
