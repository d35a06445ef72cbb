//! What a client asks about records.

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde::de::DeserializeOwned;
use serde_json::json;
use tandem_chain::types::DataSetName;

use super::plain::plain;
use super::{Client, ClientError, QueryAnswer};
use crate::rpc::shapes::records::RecordHistory;
use crate::rpc::shapes::tandem::{DataSets, RecordsPage};

impl Client {
    /// The value of a record, with its version and content type.
    ///
    /// # Errors
    /// [`ClientError`]; what is not found is an answer with a code.
    pub async fn record(&self, set: &DataSetName, key: &[u8]) -> Result<QueryAnswer, ClientError> {
        let path = format!("/records/{set}/{}", percent_encode(key, NON_ALPHANUMERIC));
        self.abci_query(&path, &[]).await
    }

    /// A part of the records whose keys start with `prefix`; `after` is [`RecordsPage::next`].
    ///
    /// # Errors
    /// [`ClientError`], with the ledger's word when there is no such data set.
    pub async fn records(
        &self,
        set: &DataSetName,
        prefix: &[u8],
        after: Option<&str>,
        limit: usize,
    ) -> Result<RecordsPage, ClientError> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        self.listing(&format!("/records/{set}?limit={limit}{after}"), prefix).await
    }

    /// All data sets.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn data_sets(&self) -> Result<DataSets, ClientError> {
        self.listing("/records", &[]).await
    }

    async fn listing<T: DeserializeOwned>(
        &self,
        path: &str,
        data: &[u8],
    ) -> Result<T, ClientError> {
        let answer = self.abci_query(path, data).await?;
        if answer.code != 0 {
            return Err(ClientError::Rpc {
                method: "abci_query".to_owned(),
                code: answer.code.into(),
                message: "refused".to_owned(),
                data: answer.log,
            });
        }
        serde_json::from_slice(&answer.value)
            .and_then(|value| serde_json::from_value(plain(value)))
            .map_err(|error| self.bad_answer("abci_query", &error.to_string()))
    }

    /// `record_history`: the newest writes of a record, or those behind `before`, the `next` of an answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn record_history(
        &self,
        set: &DataSetName,
        key: &[u8],
        before: Option<&str>,
        limit: usize,
    ) -> Result<RecordHistory, ClientError> {
        let key = hex::encode(key);
        let params = json!({ "data_set": set, "key": key, "before": before, "limit": limit });
        self.call("record_history", params).await
    }
}
