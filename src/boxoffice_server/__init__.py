"""The Boxoffice service: payments, orders and entitlements over gRPC."""
