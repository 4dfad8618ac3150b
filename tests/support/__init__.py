"""What several test modules share: oracles, drawn inputs, processes, a simulated GPU."""
