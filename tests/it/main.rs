mod engine;
mod storage_contract;
mod drift;
mod http;
mod layers;
