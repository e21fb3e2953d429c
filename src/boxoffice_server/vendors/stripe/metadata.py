"""The metadata that leads from Stripe's objects back to ours.

https://docs.stripe.com/metadata
"""

ORDER_ID = "boxoffice_order_id"
PAYMENT_ID = "boxoffice_payment_id"
REFUND_ID = "boxoffice_refund_id"
OPERATION_ID = "boxoffice_operation_id"
USER_ID = "boxoffice_user_id"
CUSTOMER_ID = "boxoffice_customer_id"
