mod engine;
mod fixtures;
mod storage_contract;
mod drift;
mod http;
mod layers;
