"""Self-supervised frame-wise video embeddings by local-alignment contrastive learning."""
