"""librispeech_deepspeech: transcribe speech with a recurrent network."""
