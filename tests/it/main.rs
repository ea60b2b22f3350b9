mod drift;
mod engine;
mod fixtures;
mod forks;
mod http;
mod layers;
mod lifetimes;
mod storage_contract;
