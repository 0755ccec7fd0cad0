"""The command line: what ``gatehouse COMMAND`` declares, asks of the product and prints. Decides nothing itself."""
