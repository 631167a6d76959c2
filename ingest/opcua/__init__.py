"""OPC UA: subscriptions whose silence is noticed, decoded a whole publish at a time."""
