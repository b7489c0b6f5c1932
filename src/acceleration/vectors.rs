//! Known signatures over [`TEXT`], made once for this purpose; the private keys were thrown away.

/// What was signed.
pub(super) const TEXT: &[u8] = b"mcp-oauth probe";

/// A text that none of the signatures is over.
pub(super) const OTHER_TEXT: &[u8] = b"mcp-oauth prob3";

/// Modulus of a 2048-bit RSA key with exponent 65537, base64url.
pub(super) const RSA_MODULUS: &str = "y7b67CKPvUYZIcxSXNPUXTumDiczzDDEWV2N89GaM_UKQSCvqZQ_TghCJi8JAtNLANTYO64zdgKJHSf_Vjmbb6dRyIcrMys6\
    JZl0SyBQL_FRGQTRziRs8r1as0A25i9cc6oHg1dNtwqrx6MHWb1VYaI1PRLuS-M7NdTir6srYNb7be2bwyk6guQP5sZPcCEX\
    vYjxGzFTMA7u703Fm6GbW0DxwfwwQv3UBhE9q2Fv_pyD6ht6MQP9fBLupeFgvo22vIPtca_RMaejhAJcAEfmA3020EgppnjQ\
    KTLSWz1T5-pAxjq5aRaSyDh2D7j9Pc90NYHkDt6Xa9paTO1zjAtC9w";
pub(super) const RS256: &str = "dF-P1Aodo5Ei6_y5AlGN-NKpfhrPzbvcxgH6voiei-yaj64DPxBM_jrSPGGgtkZkOSASwGop2milVpC3V-nGZMcKmBQ0vufV\
    5hM52fv5hhnUPWKDG98T3MHB8AqmYYm7oISKGzniqNoltNcMThDzTCcD1Re-YKE3wQ7yQ9SpWFqUFoTyA2gONwdqvZpPynX4\
    3SFN3gQ9OuUsaFy1AWP77DhsqHRxKA-NrdSg2slXr5g5S2zPwsq_oUmhwD70BukwTYs6Yr5Ic6HxS2VxtXEdmCHQflJfDWGq\
    QEovKZa1PKqp-4ck1bngFTwHb7fsQrNnpvgee4u_m5d5Lg91jCelcQ";
pub(super) const RS384: &str = "iuNGCwdSzMsgclOt9pZOjAoGrc3ioQTjFIxMGSvXdGr7JMHTK2a5KPf36hJ-fHBOlZI4zQgBYtqUlpSDxllYBbjKZR0IWt3o\
    E8_6IKTQef7HNyVBmHvERUhgaQeCbDyLf4XRbdff63leXihipDEbdwj26opIXk415b6IoVSaF8sJO5t_G6s6E_SpTaWZ1Zyx\
    mfqpgMRwPdBXCbrdxTnLSslY5kyW-VHg4i-SysZnhzX2UDOMmoSzUtgPzC04QgGNMwnzfWEzJ39y6gF5P-BXJ41IGNoT4EiR\
    EQorBwaUdAGPXBJEGrcwPpoL6dH30jpRRCucqZqfcl8FyE86yEMODg";
pub(super) const RS512: &str = "yhW0_Z-WtXhHy9tPvXQeAFFg1CG7KFWVhHmSzTSnNtAxQ4rafdjTxJpp-gPingXS6mDlGUDvGRrx8MJE1wx950K6nB67Wt1m\
    BfifjZmUVMbsX_gFwNQ_KWVNTYxRxRDMjTXXFE3Vj9DRF_0BCRyq2ngpqpo7B-DFKEwGbqHaODAzFaIVhuQGZdQNhj7LoUTC\
    FA5N12xCP6sZBMnn0aJBx8nQ-L_KbChrJFirQXNmoioyF_oTJJtlt1b8dNr3S7xRBZicJDKoeCU-7XtOocuWEk0c3i03xr1t\
    GgT6MZdMIPRTmlGNik7L_DVJEn3SkpuR_pBTrH6fwifwFwWq92aFmg";

/// `x`, `y` and the signature.
pub(super) const ES256: [&str; 3] = [
    "Yuh4Pf8IqUsufyU_mERERp0Q8TyuOlAnYQVWbkEBVIo",
    "-8ynxZVsqcq8B5Hfo1edzwR-npQq-WwjPfCz1Forz6Q",
    "THlS4ookJgxzTSdXCiVFERkW0nzonN6wgrQLCo6jQdOY2ZYUEzxOj-VfaqkdaLcsmIDmQKw_5eKATZz72gnzng",
];

/// `x`, `y` and the signature.
pub(super) const ES384: [&str; 3] = [
    "mOg7t-lRBkkD6fUGyzyqMSBvNrKpmxHgTghfVjvguQWNXJRjjbDJLmYlhGHx6eQt",
    "hB5FdJmrw28FdgcZqPMTSo1GZLgtPaApHiLuX2d7k_ZTMzkcvriz26GMIYS-GmQK",
    "X22pfdme9Cw33xgGomM02cio_VHKk_JW32RU-ynd-xtUpESQ-tMxpSa1x5hU5qzf19vOXbpacqfnE0R51yGHsvmN1SJt_KD9\
     aWyAiX9W6KEaZu_1sXkhkH3ypk1ROa12",
];
