"""Click-through prediction with DLRM."""
