//! The signatures were made with OpenSSL.

use super::*;

const RS256: &str = "eyJhbGciOiJSUzI1NiIsIng1YyI6WyJNSUlEQVRDQ0FlbWdBd0lCQWdJVURJQU1KZFZnS1VKWTMwMVdqZ1VjVk1MN0Y5QXdEUVlKS29aSWh2Y05BUUVMQlFBd0R6RU5NQXNHQTFVRUF3d0VkR1Z6ZERBZ0Z3MHlOakV4TWpneE9ETTVNekJhR0E4eU1USTJNVEV3TkRFNE16a3pNRm93RHpFTk1Bc0dBMVVFQXd3RWRHVnpkRENDQVNJd0RRWUpLb1pJaHZjTkFRRUJCUUFEZ2dFUEFEQ0NBUW9DZ2dFQkFMQ2kzWGZJUVRFVlpranpNR09SSTI3SFJ1QVFLcFlrQWd1ZGYzL0lWZlI0N0N6VVEya0l4UEptMTk4TDV3SUlzL08wZ1dRZUpxNTRFR1phRWJLL2V0Vm13aWFRZU92Yk1rcHhIQ3lmYnlTSTJucjI0dDAyZEVNcVlEYkdhM1JPNnRNVGQzZ250MHJkTkozaVFkR2EyZTlaQmZzV2QxYzJBRlhnZVQwK3NudjQ4TGNGNGVjb0FlRi95SDkrbzVodTJ3dlg0OTZtWDJ3cXlsSEIxVThJYUhzSnN2WHMxNXJNVEF3VFVQLy9EMjhZcldERWlBVVE0VlZieE50a29scFZhL01La0tHTVNaZDhmSklwS3M4TThnd2wxcmhFRW9rMTJUZDRhVTczK3JObkJ4NlNRWkpNQUovVTJyMGljK254SmJVNnlzbUROVXRJSGNLWEdmY2EyUDhDQXdFQUFhTlRNRkV3SFFZRFZSME9CQllFRkNkQUViVDNDMS95dUdyMW92eitacnF3ZGY3Nk1COEdBMVVkSXdRWU1CYUFGQ2RBRWJUM0MxL3l1R3Ixb3Z6K1pycXdkZjc2TUE4R0ExVWRFd0VCL3dRRk1BTUJBZjh3RFFZSktvWklodmNOQVFFTEJRQURnZ0VCQUZ3N2xGZjNJYTBNWTRDb29PaWxzVW8rYk1XdGwyUGUyNFk0bWxzUnRycG0rZWE3eWVqQ2hHTFhIZGJpb005RGxvd3VNb3RiQU8vSjVPVllxcnNJSU0xeEVVWEUzZmZuN2NRN0hkT3o3Y3IvVExVbldWY01DM1Evem9PVmkrN2kwYkc3YmZ4UWZqZHlVQno4ZHVsTUxRU250eVlQaXZWdzQ5b1pRQTFlQlMwNXJNTTBxek93KytPMzZ6UVpqSUtwZ0hkamtFOVk0QUdQYmErMFo1YXJrVFM5RUl5eXRTR2duQmVOckRiQVQrVmFDS3hXYTkwTnNmV2QvT2dEZlBGSkxZT2MrOHphbzgwSU9SMTJlWUI3SmpNZEl2MjEyWjFaalpoRTJUajNQN2Q3Tm1LVk1lS29lLzNSL1hRalgyVFQ2eDJNTm13MWoyRHR6ZEo5ZFFVbHlZQT0iXX0.eyJhY3RvciI6eyJtYm94IjoibWFpbHRvOmFAYi5jIn0sInZlcmIiOnsiaWQiOiJodHRwOi8vdiJ9LCJvYmplY3QiOnsiaWQiOiJodHRwOi8vbyJ9fQ.H0Kb15WDTd6WpG3ZPQmObMTZZq9Teg3N5IAxeHEg9GaiVwYsQ5pz6qc_rVHN953mQSqvhqQd7nvZLEFbw7zKIyCLKsPQmfpyAXOEO8jFuU7RD75_lmdIQmOC52E-aMjCFu2fdk5ikJQ2sWNPFZ9ksgeQLBQZWR6k3iUVJ2ExKh3OpDFISnbYMb5gckz_Zk09OHd-4R1Uk16ip6zN-AT0bq3UnsYpilkTBR4EuzXyLUrTZLQYvZNyYwA-h-nEojUNPDbyWqVr3qk4SL06iND2peM1ib74jdmNXYod3Xr1olt5MaKzMrY5OieyOaar3NGhvpGo_GBpT3nhhTNGqu4Pvg";
const RS384: &str = "eyJhbGciOiJSUzM4NCIsIng1YyI6WyJNSUlEQVRDQ0FlbWdBd0lCQWdJVURJQU1KZFZnS1VKWTMwMVdqZ1VjVk1MN0Y5QXdEUVlKS29aSWh2Y05BUUVMQlFBd0R6RU5NQXNHQTFVRUF3d0VkR1Z6ZERBZ0Z3MHlOakV4TWpneE9ETTVNekJhR0E4eU1USTJNVEV3TkRFNE16a3pNRm93RHpFTk1Bc0dBMVVFQXd3RWRHVnpkRENDQVNJd0RRWUpLb1pJaHZjTkFRRUJCUUFEZ2dFUEFEQ0NBUW9DZ2dFQkFMQ2kzWGZJUVRFVlpranpNR09SSTI3SFJ1QVFLcFlrQWd1ZGYzL0lWZlI0N0N6VVEya0l4UEptMTk4TDV3SUlzL08wZ1dRZUpxNTRFR1phRWJLL2V0Vm13aWFRZU92Yk1rcHhIQ3lmYnlTSTJucjI0dDAyZEVNcVlEYkdhM1JPNnRNVGQzZ250MHJkTkozaVFkR2EyZTlaQmZzV2QxYzJBRlhnZVQwK3NudjQ4TGNGNGVjb0FlRi95SDkrbzVodTJ3dlg0OTZtWDJ3cXlsSEIxVThJYUhzSnN2WHMxNXJNVEF3VFVQLy9EMjhZcldERWlBVVE0VlZieE50a29scFZhL01La0tHTVNaZDhmSklwS3M4TThnd2wxcmhFRW9rMTJUZDRhVTczK3JObkJ4NlNRWkpNQUovVTJyMGljK254SmJVNnlzbUROVXRJSGNLWEdmY2EyUDhDQXdFQUFhTlRNRkV3SFFZRFZSME9CQllFRkNkQUViVDNDMS95dUdyMW92eitacnF3ZGY3Nk1COEdBMVVkSXdRWU1CYUFGQ2RBRWJUM0MxL3l1R3Ixb3Z6K1pycXdkZjc2TUE4R0ExVWRFd0VCL3dRRk1BTUJBZjh3RFFZSktvWklodmNOQVFFTEJRQURnZ0VCQUZ3N2xGZjNJYTBNWTRDb29PaWxzVW8rYk1XdGwyUGUyNFk0bWxzUnRycG0rZWE3eWVqQ2hHTFhIZGJpb005RGxvd3VNb3RiQU8vSjVPVllxcnNJSU0xeEVVWEUzZmZuN2NRN0hkT3o3Y3IvVExVbldWY01DM1Evem9PVmkrN2kwYkc3YmZ4UWZqZHlVQno4ZHVsTUxRU250eVlQaXZWdzQ5b1pRQTFlQlMwNXJNTTBxek93KytPMzZ6UVpqSUtwZ0hkamtFOVk0QUdQYmErMFo1YXJrVFM5RUl5eXRTR2duQmVOckRiQVQrVmFDS3hXYTkwTnNmV2QvT2dEZlBGSkxZT2MrOHphbzgwSU9SMTJlWUI3SmpNZEl2MjEyWjFaalpoRTJUajNQN2Q3Tm1LVk1lS29lLzNSL1hRalgyVFQ2eDJNTm13MWoyRHR6ZEo5ZFFVbHlZQT0iXX0.eyJhY3RvciI6eyJtYm94IjoibWFpbHRvOmFAYi5jIn0sInZlcmIiOnsiaWQiOiJodHRwOi8vdiJ9LCJvYmplY3QiOnsiaWQiOiJodHRwOi8vbyJ9fQ.aYevstpj7qb3bY-Dhau5dWtpmqD8OTOByjJ0HabMdzkeMvsl_yY6D5e73Tt_-B1iwXHBtFcO62IGEapJnzVnkxZOiGxINgjoYCA5tCXeh_z0JXB0QyjPjq-8yk30pxDwLVr3fr_6jxD80K5vdQYpJvx1Ln1f2LO7vRe-E66wGmj-Qx1eXdP0FxsDNWxUR60BVePTM7FF2uauU21OhnGgVJk1F1AKcAmF7Ido_ULmYBAmm3EoSNtk1_nqiv4nCpBCCXaLuRqmrqzgRee4gfvAFOSYgLZultNjDY6-8bvoaREssBgk7EH1_go3rz2wbWGmTAtHKMMRkP4SjAi7-09ghg";
const RS512: &str = "eyJhbGciOiJSUzUxMiIsIng1YyI6WyJNSUlEQVRDQ0FlbWdBd0lCQWdJVURJQU1KZFZnS1VKWTMwMVdqZ1VjVk1MN0Y5QXdEUVlKS29aSWh2Y05BUUVMQlFBd0R6RU5NQXNHQTFVRUF3d0VkR1Z6ZERBZ0Z3MHlOakV4TWpneE9ETTVNekJhR0E4eU1USTJNVEV3TkRFNE16a3pNRm93RHpFTk1Bc0dBMVVFQXd3RWRHVnpkRENDQVNJd0RRWUpLb1pJaHZjTkFRRUJCUUFEZ2dFUEFEQ0NBUW9DZ2dFQkFMQ2kzWGZJUVRFVlpranpNR09SSTI3SFJ1QVFLcFlrQWd1ZGYzL0lWZlI0N0N6VVEya0l4UEptMTk4TDV3SUlzL08wZ1dRZUpxNTRFR1phRWJLL2V0Vm13aWFRZU92Yk1rcHhIQ3lmYnlTSTJucjI0dDAyZEVNcVlEYkdhM1JPNnRNVGQzZ250MHJkTkozaVFkR2EyZTlaQmZzV2QxYzJBRlhnZVQwK3NudjQ4TGNGNGVjb0FlRi95SDkrbzVodTJ3dlg0OTZtWDJ3cXlsSEIxVThJYUhzSnN2WHMxNXJNVEF3VFVQLy9EMjhZcldERWlBVVE0VlZieE50a29scFZhL01La0tHTVNaZDhmSklwS3M4TThnd2wxcmhFRW9rMTJUZDRhVTczK3JObkJ4NlNRWkpNQUovVTJyMGljK254SmJVNnlzbUROVXRJSGNLWEdmY2EyUDhDQXdFQUFhTlRNRkV3SFFZRFZSME9CQllFRkNkQUViVDNDMS95dUdyMW92eitacnF3ZGY3Nk1COEdBMVVkSXdRWU1CYUFGQ2RBRWJUM0MxL3l1R3Ixb3Z6K1pycXdkZjc2TUE4R0ExVWRFd0VCL3dRRk1BTUJBZjh3RFFZSktvWklodmNOQVFFTEJRQURnZ0VCQUZ3N2xGZjNJYTBNWTRDb29PaWxzVW8rYk1XdGwyUGUyNFk0bWxzUnRycG0rZWE3eWVqQ2hHTFhIZGJpb005RGxvd3VNb3RiQU8vSjVPVllxcnNJSU0xeEVVWEUzZmZuN2NRN0hkT3o3Y3IvVExVbldWY01DM1Evem9PVmkrN2kwYkc3YmZ4UWZqZHlVQno4ZHVsTUxRU250eVlQaXZWdzQ5b1pRQTFlQlMwNXJNTTBxek93KytPMzZ6UVpqSUtwZ0hkamtFOVk0QUdQYmErMFo1YXJrVFM5RUl5eXRTR2duQmVOckRiQVQrVmFDS3hXYTkwTnNmV2QvT2dEZlBGSkxZT2MrOHphbzgwSU9SMTJlWUI3SmpNZEl2MjEyWjFaalpoRTJUajNQN2Q3Tm1LVk1lS29lLzNSL1hRalgyVFQ2eDJNTm13MWoyRHR6ZEo5ZFFVbHlZQT0iXX0.eyJhY3RvciI6eyJtYm94IjoibWFpbHRvOmFAYi5jIn0sInZlcmIiOnsiaWQiOiJodHRwOi8vdiJ9LCJvYmplY3QiOnsiaWQiOiJodHRwOi8vbyJ9fQ.J4vIPZfWmSdSs70YsMMpYUYiqzRzH4nf1Xdwopl9I9bL6nlxaR8Lvmg4EVywnE7dS01Mkgr159kDhtJAYGKaMzecMJ5HGbsGdfELd7XkCjYSwVL6AGv-f7rtITieKK1tCX8JgF76gfHNgDv3unRrr65gtSTpPIn1CJtLkIbN7YgwKt_9drdoSFHKboW87_Q8QWl4PsW7-IMzfzc98Ldebr90Ig7U2i26Yw0gSoznD5hzpmHLmobnpvmvxwdMaKH6LwfguOVs_DXXSaX7KPT7Oys0rgK7gkvsDTk4vpuEkj9CfnT4wt3mXQhbIkythySFSBzGPyyGcEjDjPzcoz9euA";

const STATEMENT: &str = r#"{"actor":{"mbox":"mailto:a@b.c"},"verb":{"id":"http://v"},"object":{"id":"http://o"},
    "attachments":[{"usageType":"http://adlnet.gov/expapi/attachments/signature","display":{"en":"s"},"contentType":"application/octet-stream","length":1,"sha2":"ab"}]}"#;

fn checked(statement: &str, jws: &str) -> Result<(), String> {
    let statement = Json::parse(statement.as_bytes(), 16).unwrap();
    let checked = check(&statement, "application/octet-stream", jws.as_bytes(), Version::Two, 16);
    checked.map_err(|error| error.to_string())
}

#[test]
fn signatures_of_the_statement_by_the_key_of_the_certificate_are_taken() {
    for jws in [RS256, RS384, RS512] {
        assert_eq!(checked(STATEMENT, jws), Ok(()));
    }
}

#[test]
fn everything_else_is_refused() {
    let other = STATEMENT.replace("http://o", "http://p");
    assert!(checked(&other, RS256).unwrap_err().contains("another statement"));
    let (signed, signature) = RS256.rsplit_once('.').unwrap();
    let altered = format!(
        "{signed}.{}",
        if signature.starts_with('A') {
            signature.replacen('A', "B", 1)
        } else {
            format!("A{}", &signature[1..])
        }
    );
    assert!(checked(STATEMENT, &altered).unwrap_err().contains("not by the key"));
    let payload = signed.split_once('.').unwrap().1;
    let with_header = |header: &str| format!("{}.{payload}.{signature}", URL_SAFE_NO_PAD.encode(header));
    assert_eq!(checked(STATEMENT, &with_header(r#"{"alg":"RS256"}"#)), Ok(()));
    for (header, why) in [
        (r#"{"alg":"HS256"}"#, "RS256, RS384 or RS512"),
        (r#"{"alg":"none"}"#, "RS256, RS384 or RS512"),
        ("{}", "RS256, RS384 or RS512"),
        ("nothing", "JSON"),
        (r#"{"alg":"RS256","x5c":[]}"#, "x5c"),
        (r#"{"alg":"RS256","x5c":["AAAA"]}"#, "x5c"),
    ] {
        assert!(checked(STATEMENT, &with_header(header)).unwrap_err().contains(why), "{header}");
    }
    for jws in ["", "a.b", "!.!.!", "a.b.c.d"] {
        assert!(checked(STATEMENT, jws).is_err(), "{jws}");
    }
    let statement = Json::parse(STATEMENT.as_bytes(), 16).unwrap();
    assert!(check(&statement, "text/plain", RS256.as_bytes(), Version::Two, 16).is_err());
}

#[test]
fn a_certificate_cut_anywhere_gets_an_answer() {
    let header = URL_SAFE_NO_PAD.decode(RS256.split('.').next().unwrap()).unwrap();
    let header = Json::parse(&header, 8).unwrap();
    let certificate =
        STANDARD.decode(header.get("x5c").unwrap().items().unwrap()[0].text().unwrap()).unwrap();
    assert!(public_key(&certificate).is_some());
    for length in 0..certificate.len() {
        let _ = public_key(&certificate[..length]);
    }
}
