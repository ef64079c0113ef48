"""What is made of a trained model for those who run it: folders, GGUF files, differences against the base."""
