"""What Mercado Livre's words mean. All of its lists are open: what is missing here is kept and reported."""

from orders.vocabulary import Logistics, PaymentStatus, ShipmentStatus

UNPAID, PAID, CANCELLED = "unpaid", "paid", "cancelled"

ORDER = {
    "confirmed": UNPAID,
    "payment_required": UNPAID,
    "payment_in_process": UNPAID,
    "partially_paid": UNPAID,
    "paid": PAID,
    "partially_refunded": PAID,
    "pending_cancel": CANCELLED,
    "cancelled": CANCELLED,
    "invalid": CANCELLED,
}

PAYMENT = {
    "approved": PaymentStatus.PAID,
    "authorized": PaymentStatus.PENDING,
    "pending": PaymentStatus.PENDING,
    "in_process": PaymentStatus.PENDING,
    "in_mediation": PaymentStatus.PAID,
    "refunded": PaymentStatus.REFUNDED,
    "charged_back": PaymentStatus.REFUNDED,
    "rejected": PaymentStatus.UNKNOWN,
    "cancelled": PaymentStatus.UNKNOWN,
}
# Money that came, whether or not it went back.
MONEY_CAME = frozenset({"approved", "in_mediation", "refunded", "charged_back"})

SHIPMENT = {
    "to_be_agreed": ShipmentStatus.PENDING,
    "not_specified": ShipmentStatus.PENDING,
    "pending": ShipmentStatus.PENDING,
    "handling": ShipmentStatus.PENDING,
    "ready_to_ship": ShipmentStatus.READY,
    "stale_ready_to_ship": ShipmentStatus.READY,
    "shipped": ShipmentStatus.SHIPPED,
    "stale_shipped": ShipmentStatus.SHIPPED,
    "delivered": ShipmentStatus.DELIVERED,
    "not_delivered": ShipmentStatus.SHIPPED,
    "cancelled": ShipmentStatus.CANCELLED,
    "closed": ShipmentStatus.UNKNOWN,
    "error": ShipmentStatus.UNKNOWN,
    "active": ShipmentStatus.UNKNOWN,
    "not_verified": ShipmentStatus.UNKNOWN,
}
# ready_to_ship, and yet on the way.
ON_THE_WAY = frozenset({"picked_up", "dropped_off", "in_hub", "in_transit", "authorized_by_carrier"})
BACK = frozenset({"returned", "returned_to_warehouse"})
TROUBLE = frozenset(
    {
        "delivery_failed", "bad_address", "receiver_absent", "lost", "stolen", "damaged", "refused_delivery",
        "not_localized", "destroyed", "confiscated", "retained", "dangerous_area",
    }
)  # fmt: skip

LOGISTICS = {
    "drop_off": Logistics.PICKUP,
    "xd_drop_off": Logistics.PICKUP,
    "cross_docking": Logistics.PICKUP,
    "xd_same_day": Logistics.PICKUP,
    "turbo": Logistics.PICKUP,
    "self_service": Logistics.SELLER,
    "fulfillment": Logistics.FULFILLED,
    "default": Logistics.SELLER,
    "custom": Logistics.SELLER,
    "not_specified": Logistics.SELLER,
}

# Billing addresses name the state in words.
STATES = {
    "acre": "AC", "alagoas": "AL", "amapá": "AP", "amazonas": "AM", "bahia": "BA", "ceará": "CE",
    "distrito federal": "DF", "espírito santo": "ES", "goiás": "GO", "maranhão": "MA", "mato grosso": "MT",
    "mato grosso do sul": "MS", "minas gerais": "MG", "pará": "PA", "paraíba": "PB", "paraná": "PR",
    "pernambuco": "PE", "piauí": "PI", "rio de janeiro": "RJ", "rio grande do norte": "RN",
    "rio grande do sul": "RS", "rondônia": "RO", "roraima": "RR", "santa catarina": "SC", "são paulo": "SP",
    "sergipe": "SE", "tocantins": "TO",
}  # fmt: skip
