"""The papers of the simulated Bling: what an NF-e, its XML and a shipping object look like."""

import itertools
from datetime import datetime
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

COMPANY_CNPJ = "11222333000181"
COMPANY_UF = "35"
BRASILIA = ZoneInfo("America/Sao_Paulo")
Row = dict[str, Any]


def brasilia_now() -> str:
    return f"{datetime.now(BRASILIA):%Y-%m-%d %H:%M:%S}"


def total(body: Row) -> float:
    items = sum(line["quantidade"] * line["valor"] * (1 - line.get("desconto", 0) / 100) for line in body["itens"])
    discount = (body.get("desconto") or {}).get("valor", 0)
    freight = (body.get("transporte") or {}).get("frete", 0)
    return float(round(items - discount + freight + body.get("outrasDespesas", 0), 2))


def nfe(note: int, number: int, order: Row, situation: int, *, environment: int, code: int) -> Row:
    moment = datetime.now(BRASILIA)
    first = f"{COMPANY_UF}{moment:%y%m}{COMPANY_CNPJ}55001{number:09d}1{code:08d}"
    key = f"{first}{_check_digit(first)}"
    return {
        "id": note,
        "tipo": 1,
        "situacao": situation,
        "numero": f"{number:06d}",
        "serie": 1,
        "chaveAcesso": key,
        "dataEmissao": f"{moment:%Y-%m-%d %H:%M:%S}",
        "dataOperacao": f"{moment:%Y-%m-%d %H:%M:%S}",
        "valorNota": order["total"],
        "valorFrete": order["transporte"].get("frete", 0),
        "finalidade": 1,
        "xml": f"https://www.bling.com.br/relatorios/nfe.xml.php?chaveAcesso={key}&signature=exemplo",
        "linkDanfe": "",
        "linkPDF": "",
        "numeroPedidoLoja": order.get("numeroLoja", ""),
        "contato": {"id": order["contato"]["id"], "nome": order["contato"]["nome"]},
        "naturezaOperacao": {"id": 15_100_000_001},
        "loja": order["loja"],
        "transporte": {"fretePorConta": 0, "transportador": {"nome": "", "numeroDocumento": ""}, "volumes": []},
        "_xml": _xml(key, moment, order, environment),
    }


def shipping_object(parcel: int, order: Row, code: str, situation: int) -> Row:
    return {
        "id": parcel,
        "pedidoVenda": {"id": order["id"]},
        "notaFiscal": {"id": order["notaFiscal"]["id"]},
        "servico": {"id": 17_900_000_001},
        "rastreamento": {
            "codigo": code,
            "descricao": "Objeto postado",
            "situacao": situation,
            "origem": "São Paulo",
            "destino": "",
            "ultimaAlteracao": brasilia_now(),
            "url": f"https://rastreamento.exemplo.test/{code}",
        },
        "dataSaida": brasilia_now()[:10],
        "prazoEntregaPrevisto": 5,
        "fretePrevisto": 0,
        "valorDeclarado": order["total"],
    }


def _check_digit(first: str) -> int:
    weights = itertools.cycle(range(2, 10))
    rest = sum((ord(char) - 48) * weight for char, weight in zip(reversed(first), weights, strict=False)) % 11
    return 0 if rest < 2 else 11 - rest


def _xml(key: str, moment: datetime, order: Row, environment: int) -> bytes:
    """A small `nfeProc`: what a hub reads of one, and nothing a tax office would miss in a simulation."""
    document = order["contato"]["numeroDocumento"]
    buyer = f"<CPF>{document}</CPF>" if len(document) == 11 else f"<CNPJ>{document}</CNPJ>"
    at = moment.isoformat(timespec="seconds")
    number, series, code = int(key[25:34]), int(key[22:25]), key[35:43]
    lines = "".join(_xml_line(place, line) for place, line in enumerate(order["itens"], start=1))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        '<nfeProc versao="4.00" xmlns="http://www.portalfiscal.inf.br/nfe"><NFe>'
        f'<infNFe versao="4.00" Id="NFe{key}"><ide><cUF>{key[:2]}</cUF><cNF>{code}</cNF>'
        f"<natOp>Venda de mercadoria</natOp><mod>55</mod><serie>{series}</serie><nNF>{number}</nNF>"
        f"<dhEmi>{at}</dhEmi><tpNF>1</tpNF><tpEmis>1</tpEmis><cDV>{key[43]}</cDV><tpAmb>{environment}</tpAmb>"
        "<finNFe>1</finNFe><indFinal>1</indFinal><indPres>2</indPres></ide>"
        f"<emit><CNPJ>{key[6:20]}</CNPJ><xNome>Loja Exemplo Ltda</xNome></emit>"
        f"<dest>{buyer}<xNome>{escape(order['contato']['nome'])}</xNome></dest>{lines}"
        f"<total><ICMSTot><vProd>{order['totalProdutos']:.2f}</vProd><vNF>{order['total']:.2f}</vNF></ICMSTot></total>"
        "</infNFe></NFe>"
        f'<protNFe versao="4.00"><infProt><tpAmb>{environment}</tpAmb><chNFe>{key}</chNFe>'
        f"<dhRecbto>{at}</dhRecbto><nProt>1352600{number:08d}</nProt><cStat>100</cStat>"
        "<xMotivo>Autorizado o uso da NF-e</xMotivo></infProt></protNFe></nfeProc>"
    ).encode()


def _xml_line(place: int, line: Row) -> str:
    return (
        f'<det nItem="{place}"><prod><cProd>{escape(line["codigo"])}</cProd><cEAN>SEM GTIN</cEAN>'
        f"<xProd>{escape(line['descricao'])}</xProd><qCom>{line['quantidade']:.4f}</qCom>"
        f"<vUnCom>{line['valor']:.4f}</vUnCom><vProd>{line['quantidade'] * line['valor']:.2f}</vProd></prod></det>"
    )
