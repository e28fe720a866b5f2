"""From a waveform to speech, its quality and its embedding: the only way from audio to a vector."""
