mod drift;
mod engine;
mod fixtures;
mod forks;
mod http;
mod layers;
mod storage_contract;
