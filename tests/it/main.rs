mod engine;
mod storage_contract;
