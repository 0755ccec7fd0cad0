"""What set-up knows about Linux."""
