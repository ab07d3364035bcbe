"""What the two speech workloads share: mini data, the LibriSpeech reader, batches, front end, layers and metric."""
