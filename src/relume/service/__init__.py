"""The service: HTTP in front of the enhancer, with strangers' files kept in processes of their own."""
