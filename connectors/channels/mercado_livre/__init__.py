"""Mercado Livre, Brazil (site MLB). What the service is, as data; its quirks are in this folder's README."""

from datetime import timedelta

from connectors.contract import Capability, Field, Rate, Role, Service
from connectors.failures import Category, FailureTable, Fault, Verdict


def _rows(category: Category, rows: dict[str, str], fault: Fault | None = None) -> dict[str, Verdict]:
    return {code: Verdict(category, sentence, fault) for code, sentence in rows.items()}


_CONSENT = "Mercado Livre ended this connection's consent: connect the account again."
_XML = "Mercado Livre cannot read the NF-e's XML."
_NOTE = "The NF-e differs from the sale; a new one is needed: "
_SELLER = "The seller's registration at Mercado Livre differs from the NF-e: "

SERVICE = Service(
    kind="mercado_livre",
    role=Role.CHANNEL,
    label="Mercado Livre",
    adapter="connectors.channels.mercado_livre.adapter:MercadoLivre",
    mapping="connectors.channels.mercado_livre.mapping:order_document",
    simulator="connectors.channels.mercado_livre.simulator:MercadoLivreSimulator",
    capabilities=frozenset(
        {
            Capability.CHANGES,
            Capability.FETCH,
            Capability.CENSUS,
            Capability.PUSH,
            Capability.SEND_INVOICE,
            Capability.SEND_DISPATCH,
            Capability.SEND_DELIVERY,
            Capability.CANCEL,
            Capability.LABEL,
            Capability.CONSENT,
            Capability.REFRESH,
            Capability.CHECK,
        }
    ),
    fields=(
        Field("client_id", "App ID", in_vault=True, help="Of the application in Mercado Livre's developer centre."),
        Field("client_secret", "Secret key", secret=True),
        Field(
            "pkce",
            "Application registered with PKCE",
            required=False,
            default="no",
            choices=(("no", "No"), ("yes", "Yes")),
        ),
    ),
    hosts={"api": "https://api.mercadolibre.com", "consent": "https://auth.mercadolivre.com.br"},
    # Mercado Livre publishes no number, only that all sellers of one application share it: 20 is our own choice.
    rates=(Rate(per_second=20, burst=20, scope="application"),),
    failures=FailureTable(
        by_code={
            **_rows(
                Category.AUTH,
                {
                    "invalid_grant": _CONSENT,
                    "unauthorized_client": _CONSENT,
                    "invalid_client": "Mercado Livre does not know this App ID and secret key.",
                    "unauthorized_application": "Mercado Livre has blocked this application.",
                    "invalid_operator_user_id": "Only the account's main user can give the consent.",
                },
            ),
            **_rows(
                Category.TRANSIENT,
                {
                    "shipment_already_being_processed": "Mercado Livre is still working on this shipment's invoice.",
                    "internal_error": "Mercado Livre failed without saying why.",
                },
            ),
            "local_rate_limited": Verdict(Category.RATE_LIMITED, "The application's calls are used up for now."),
            **_rows(
                Category.BUG,
                {
                    "invalid_scope": "The application asks for a scope that does not exist.",
                    "unsupported_grant_type": "Mercado Livre does not know this way of signing in.",
                    "invalid_operation_for_site_id": "The invoice was sent for another country's site.",
                    "shipment_mode_is_not_me1": "Mercado Livre itself reports this shipment's way.",
                    "invalid_seller_json_format": "Mercado Livre cannot read the report about the parcel.",
                },
            ),
            **_rows(
                Category.REJECTED,
                {
                    "forbidden": "Mercado Livre does not allow this for this seller.",
                    "shipment_invoice_already_saved": "Mercado Livre already holds an invoice for this shipment.",
                    "duplicated_fiscal_key": "This NF-e is already used for another shipment.",
                    "invalid_shipment": "The shipment's state takes no invoice.",
                    "nf_already_generated": "Mercado Livre's own biller already issued the invoice.",
                    "seller_not_allowed_to_import_nfe": "This seller must invoice with Mercado Livre's own biller.",
                    "invalid_user": "The shipment is another seller's.",
                    "invalid_caller_id": "The shipment is another seller's.",
                    "invalid_nfe_cstat": "SEFAZ has not authorised this NF-e.",
                    "wrong_invoice_date": _NOTE + "its date lies before the sale.",
                    "wrong_sender_zipcode": _NOTE + "the sender's CEP.",
                    "wrong_receiver_zipcode": _NOTE + "the receiver's CEP.",
                    "wrong_receiver_cnpj": _NOTE + "the receiver's CNPJ.",
                    "wrong_receiver_cpf": _NOTE + "the receiver's CPF.",
                    "wrong_receiver_state_tax": _NOTE + "the receiver's state registration.",
                    "shipment_invoice_should_contain_company_state_tax_id": _NOTE + "the buyer's state registration.",
                    "invalid_state_tax_id": _NOTE + "the buyer's state registration.",
                    "nfe_order_value_divergence": _NOTE + "its total (price, discount or freight).",
                    "sender_ie_not_found": _SELLER + "state registration.",
                    "invalid_sender_ie": _SELLER + "state registration.",
                    "invalid_sender_ie_for_state": _SELLER + "state registration of this UF.",
                    "invalid_sender_cnpj": _SELLER + "CNPJ.",
                    "different_state_nfe_shipment_origin": _SELLER + "UF of origin.",
                    "invalid_cnpj_multiorigem": _SELLER + "the warehouse's CNPJ.",
                    "invalid_sender_ie_for_state_multiorigem_model_c": _SELLER + "the warehouse's registration.",
                    "invalid_nfe_cstat_multiorigem_model_c": _SELLER + "the warehouse's remittance note.",
                    "wrong_invoice_type": "A service note cannot be sent: the shipment needs an NF-e of goods.",
                    "batch_nfe_not_supported": "One NF-e at a time: a batch is not taken.",
                    "invalid_nfe": _XML,
                    "malformed_XML": _XML,
                    "unexpected_error_post_biller": _XML,
                    "error_parse_invoice_data": _XML,
                    "invalid_parameter": _XML,
                    "nfe_layout_not_supported": "Mercado Livre takes no NF-e of this layout version.",
                    "not_printable_status": "The shipment's label cannot be printed in its present state.",
                    "invalid_shipment_ff_public": "Mercado Livre's own warehouse prints this label.",
                    "invalid_shipment_mode": "There is no label of Mercado Livre for this kind of shipment.",
                    "invalid_shipment_caller": "The shipment is another seller's.",
                    "event_date_before_shipment_creation_date": "The parcel cannot have left before the sale.",
                    "not_fulfilled_feedback_in_order_expired": "The order is too old to be cancelled.",
                },
            ),
        },
        by_status={
            403: Verdict(Category.REJECTED, "Mercado Livre does not allow this for this seller."),
            404: Verdict(Category.TRANSIENT, "Mercado Livre does not have this, or not yet.", certain=True),
        },
    ),
    poll_seconds=50,
    # A shipment may move without its order; pushes tell, and this finds what they lost.
    watch_seconds=6 * 3600,
    settle_seconds=10.0,
    max_parallel=4,
    # A refresh token lives six months; each is replaced when it is used.
    account_key="user_id",
    consent=timedelta(days=180),
    consent_renews=True,
    docs="https://developers.mercadolivre.com.br",
)
