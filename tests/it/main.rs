mod drift;
mod engine;
mod fixtures;
mod http;
mod layers;
mod storage_contract;
mod subscriptions;
mod webhook;
