//! One validator: whatever it builds is decided.

use focus_types::{Address, Certificate, Hash32, Header, Keypair, SignatureError, verify};

use crate::{Engine, EngineError, Input, Output};

/// What the engine waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    Payload,
    Commit(Hash32),
}

/// Consensus of one.
pub struct Solo {
    key: Keypair,
    height: u64,
    parent: Hash32,
    step: Step,
}

impl Solo {
    /// An engine that continues after the block `head` at `height`. `validators` has to be exactly the key's address.
    pub fn new(
        key: Keypair,
        validators: &[Address],
        height: u64,
        head: Hash32,
    ) -> Result<Solo, EngineError> {
        if validators != [key.address()] {
            return Err(EngineError::NotValidator(key.address()));
        }
        Ok(Solo {
            key,
            height: height + 1,
            parent: head,
            step: Step::Idle,
        })
    }

    /// The validator.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Whether `header` carries the certificate of its proposer, and that is the one validator.
    pub fn verify(header: &Header, validators: &[Address]) -> Result<(), SignatureError> {
        match header.certificate {
            Certificate::Solo(signature) if validators == [header.proposer] => {
                verify(&header.proposer, &header.certificate_bytes(), &signature)
            }
            _ => Err(SignatureError::Invalid),
        }
    }

    fn unexpected(&self, input: &'static str) -> Result<Vec<Output>, EngineError> {
        Err(EngineError::Unexpected {
            height: self.height,
            input,
        })
    }
}

impl Engine for Solo {
    fn name(&self) -> &'static str {
        "solo"
    }

    fn handle(&mut self, input: Input) -> Result<Vec<Output>, EngineError> {
        match (input, self.step) {
            (Input::Start, Step::Idle) => {
                self.step = Step::Payload;
                Ok(vec![Output::Propose {
                    height: self.height,
                    parent: self.parent,
                }])
            }
            (
                Input::PayloadReady {
                    height,
                    parent,
                    block,
                    certificate_bytes,
                },
                Step::Payload,
            ) if (height, parent) == (self.height, self.parent) => {
                self.step = Step::Commit(block);
                Ok(vec![Output::Decide {
                    height,
                    block,
                    certificate: Certificate::Solo(self.key.sign(&certificate_bytes)),
                }])
            }
            (Input::PayloadAbsent { height }, Step::Payload) if height == self.height => {
                self.step = Step::Idle;
                Ok(vec![])
            }
            // The certificate never left this machine, so another block may take the height.
            (Input::CommitFailed { height }, Step::Commit(_)) if height == self.height => {
                self.step = Step::Idle;
                Ok(vec![])
            }
            (Input::CommitDone { height, block }, Step::Commit(decided))
                if (height, block) == (self.height, decided) =>
            {
                self.height += 1;
                self.parent = block;
                self.step = Step::Idle;
                Ok(vec![])
            }
            (Input::Start, _) => self.unexpected("start"),
            (Input::Message { .. }, _) => self.unexpected("message"),
            (Input::Timeout { .. }, _) => self.unexpected("timeout"),
            (Input::PayloadReady { .. } | Input::PayloadAbsent { .. }, _) => {
                self.unexpected("payload")
            }
            (Input::CommitDone { .. } | Input::CommitFailed { .. }, _) => self.unexpected("commit"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(height: u64, parent: Hash32, block: Hash32) -> Input {
        Input::PayloadReady {
            height,
            parent,
            block,
            certificate_bytes: block.0,
        }
    }

    #[test]
    fn decides_what_it_builds_in_order() {
        let key = Keypair::from_seed([1; 32]);
        let address = key.address();
        let mut parent = Hash32([9; 32]);
        let mut engine = Solo::new(key, &[address], 4, parent).unwrap();
        for height in 5..9u64 {
            let block = Hash32([height as u8; 32]);
            let outputs = engine.handle(Input::Start).unwrap();
            assert_eq!(outputs, [Output::Propose { height, parent }]);
            let outputs = engine.handle(ready(height, parent, block)).unwrap();
            let [
                Output::Decide {
                    certificate: Certificate::Solo(signature),
                    ..
                },
            ] = outputs[..]
            else {
                panic!("{outputs:?}");
            };
            assert_eq!(verify(&address, &block.0, &signature), Ok(()));
            let done = Input::CommitDone { height, block };
            assert_eq!(engine.handle(done).unwrap(), []);
            parent = block;
        }
    }

    #[test]
    fn what_does_not_belong_changes_nothing() {
        let key = Keypair::from_seed([1; 32]);
        let address = key.address();
        let parent = Hash32([9; 32]);
        let block = Hash32([7; 32]);
        let mut engine = Solo::new(key, &[address], 0, parent).unwrap();
        let message = Input::Message {
            from: address,
            bytes: vec![1],
        };
        for input in [
            message,
            Input::Timeout { timer: 1 },
            ready(1, parent, block),
            Input::CommitDone { height: 1, block },
            Input::PayloadAbsent { height: 1 },
        ] {
            assert!(engine.handle(input).is_err());
        }
        engine.handle(Input::Start).unwrap();
        assert!(engine.handle(Input::Start).is_err());
        assert!(engine.handle(ready(2, parent, block)).is_err());
        assert!(engine.handle(ready(1, block, block)).is_err());
        engine.handle(Input::PayloadAbsent { height: 1 }).unwrap();
        engine.handle(Input::Start).unwrap();
        engine.handle(ready(1, parent, block)).unwrap();
        let other = Input::CommitDone {
            height: 1,
            block: parent,
        };
        assert!(engine.handle(other).is_err());
        assert!(engine.handle(Input::CommitFailed { height: 2 }).is_err());
        engine.handle(Input::CommitFailed { height: 1 }).unwrap();
        engine.handle(Input::Start).unwrap();
        engine.handle(ready(1, parent, block)).unwrap();
        engine
            .handle(Input::CommitDone { height: 1, block })
            .unwrap();
    }

    #[test]
    fn a_stranger_cannot_run_it() {
        let (key, other) = (Keypair::from_seed([1; 32]), Keypair::from_seed([2; 32]));
        let validators = [other.address()];
        assert!(matches!(
            Solo::new(key, &validators, 0, Hash32::ZERO),
            Err(EngineError::NotValidator(_))
        ));
    }
}
