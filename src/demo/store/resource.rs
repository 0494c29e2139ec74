//! What the shop keeps, as clients see it: orders, payments, deliveries and
//! mails, their ids and their JSON.

use serde_json::{Value, json};

/// The four things that the shop keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Kind {
    Order,
    Payment,
    Delivery,
    Mail,
}

impl Kind {
    /// The path under which its rows are listed.
    pub(in super::super) fn collection(self) -> &'static str {
        match self {
            Self::Order => "orders",
            Self::Payment => "payments",
            Self::Delivery => "deliveries",
            Self::Mail => "mails",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Order => "ord_",
            Self::Payment => "pay_",
            Self::Delivery => "dlv_",
            Self::Mail => "mail_",
        }
    }

    /// The id that clients see.
    pub(in super::super) fn id(self, number: i64) -> String {
        format!("{}{number}", self.prefix())
    }

    /// The number in an id of this kind.
    pub(in super::super) fn number(self, id: &str) -> Option<i64> {
        let digits = id.strip_prefix(self.prefix())?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    }
}

/// What a request asks to be done.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum Effect {
    Order {
        sku: String,
        quantity: i64,
        reference: String,
    },
    Payment {
        order: i64,
        amount: serde_json::Number,
        reference: String,
    },
    Delivery {
        order: i64,
        service: String,
        reference: String,
    },
}

impl Effect {
    pub(in super::super) fn kind(&self) -> Kind {
        match self {
            Self::Order { .. } => Kind::Order,
            Self::Payment { .. } => Kind::Payment,
            Self::Delivery { .. } => Kind::Delivery,
        }
    }

    /// The resource as clients see it.
    pub(in super::super) fn resource(&self, number: i64) -> Value {
        let id = self.kind().id(number);
        match self {
            Self::Order {
                sku,
                quantity,
                reference,
            } => json!({"id": id, "sku": sku, "quantity": quantity, "reference": reference}),
            Self::Payment {
                order,
                amount,
                reference,
            } => {
                json!({"id": id, "order": Kind::Order.id(*order), "amount": amount, "reference": reference})
            }
            Self::Delivery {
                order,
                service,
                reference,
            } => {
                json!({"id": id, "order": Kind::Order.id(*order), "service": service, "reference": reference})
            }
        }
    }
}

/// A row as clients see it: the same as the answer that made it.
pub(super) fn shown(
    kind: Kind,
    (number, order, text, figure, reference): (i64, i64, String, String, String),
) -> Value {
    let effect = match kind {
        Kind::Order => Effect::Order {
            sku: text,
            quantity: figure.parse().unwrap_or_default(),
            reference,
        },
        Kind::Payment => Effect::Payment {
            order,
            amount: figure.parse().unwrap_or_else(|_| 0.into()),
            reference,
        },
        Kind::Delivery => Effect::Delivery {
            order,
            service: text,
            reference,
        },
        Kind::Mail => {
            return json!({"id": kind.id(number), "order": Kind::Order.id(order), "template": text, "reference": reference});
        }
    };
    effect.resource(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_kind_and_number() {
        assert_eq!(Kind::Order.id(4812), "ord_4812");
        assert_eq!(Kind::Order.number("ord_4812"), Some(4812));
        for id in [
            "ord_",
            "ord_x",
            "ord_-1",
            "ord_+1",
            "pay_1",
            "4812",
            "ord_99999999999999999999",
        ] {
            assert_eq!(Kind::Order.number(id), None, "{id}");
        }
    }
}
