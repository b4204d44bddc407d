"""The data plane and the control API, in the order a request meets them."""
