//! The other role: this daemon as an ESME of an upstream SMSC.
