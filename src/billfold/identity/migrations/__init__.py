"""The schema `identity`, in numbered steps."""
