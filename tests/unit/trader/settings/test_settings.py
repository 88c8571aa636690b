"""Settings: which source wins, what paths are relative to, and that a mistake is named."""

from pathlib import Path
from typing import Any

import pytest

from contracts import Periphery, periphery_address
from trader.errors import QuantityError
from trader.settings import SettingsError, read_buyer_settings, read_seller_settings
from trader.settings.files import find_file
from trader.settings.template import write_template
from trader.verify import TokenLimits

NOTHING: dict[str, str] = {}


def write(folder: Path, text: str, name: str = "modelseal.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_flags_win_over_the_environment_and_that_over_the_profile_and_that_over_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, 'chain = "file"\nconfirmations = 3\n[profiles.main]\nchain = "profile"\n')
    environment = {"ETH_RPC_URL": "standard"}
    assert read_buyer_settings(path, environment=NOTHING).chain == "file"
    assert read_buyer_settings(path, "main", environment=NOTHING).chain == "profile"
    assert read_buyer_settings(path, "main", environment=environment).chain == "standard"
    own = environment | {"MODELSEAL_CHAIN": "own"}
    assert read_buyer_settings(path, "main", environment=own).chain == "own"
    last = read_buyer_settings(path, "main", {"chain": "flag"}, environment=own)
    assert (last.chain, last.confirmations) == ("flag", 3)
    for text, confirmations in (("64", 64), ("finalized", "finalized")):
        environment = {"MODELSEAL_CONFIRMATIONS": text, "MODELSEAL_MAX_GAS_PRICE": "50 gwei"}
        named = read_buyer_settings(path, environment=environment)
        assert (named.confirmations, named.max_gas_price) == (confirmations, 50 * 10**9)


def test_the_environment_names_file_and_profile(tmp_path: Path) -> None:
    path = write(tmp_path, '[profiles.main]\nchain = "profile"\n', "other.toml")
    environment = {"MODELSEAL_CONFIG": str(path), "MODELSEAL_PROFILE": "main"}
    assert read_buyer_settings(environment=environment).chain == "profile"


def test_tables_are_merged_key_by_key(tmp_path: Path) -> None:
    path = write(tmp_path, '[policy]\nmax_price = "1 ether"\nmin_k = 4\n[profiles.main.policy]\nmin_k = 8\n')
    policy = read_buyer_settings(path, "main", {"policy": {"min_bond": 20}}, environment=NOTHING).policy.policy()
    assert (policy.maximum_price_wei, policy.minimum_audit_samples, policy.minimum_bond_percent) == (10**18, 8, 20)


def test_paths_of_a_file_start_there_and_those_of_flags_where_the_user_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(tmp_path / "here", "{}", "flag.json")
    write(tmp_path, "{}", "file.json")
    path = write(tmp_path, 'keyfile = "file.json"\nfolder = "mine"\n')
    settings = read_buyer_settings(path, environment=NOTHING)
    assert settings.keyfile == str(tmp_path / "file.json")
    assert settings.folder == tmp_path / "mine"
    given = read_buyer_settings(path, given={"keyfile": "flag.json", "folder": "mine"}, environment=NOTHING)
    assert given.keyfile == str(tmp_path / "here" / "flag.json")
    assert given.folder == tmp_path / "here" / "mine"


@pytest.mark.parametrize("account", ["alice", "http://127.0.0.1:8550#0x00", "0x" + "11" * 20])
def test_what_is_no_file_is_the_name_of_an_account(tmp_path: Path, account: str) -> None:
    assert read_buyer_settings(write(tmp_path, f'keyfile = "{account}"'), environment=NOTHING).keyfile == account


def test_settings_are_found_above(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, '[project]\nname = "x"', "pyproject.toml")
    assert find_file(deep) != tmp_path / "pyproject.toml"
    write(tmp_path, '[tool.modelseal]\nchain = "project"', "pyproject.toml")
    found = find_file(deep)
    assert found == tmp_path / "pyproject.toml"
    assert read_buyer_settings(found, environment=NOTHING).chain == "project"
    write(tmp_path / "a", 'chain = "own"')
    assert find_file(deep) == tmp_path / "a" / "modelseal.toml"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("chian = 'x'", "chian: nobody knows this key"),
        ("confirmations = 0", "confirmations"),
        ('confirmations = "safe"', "confirmations"),
        ('max_gas_price = "0 gwei"', "max_gas_price"),
        ("[policy]\nmax_price = 1.5", "policy.max_price"),
        ("[policy]\nmax_price = '1.5 either'", "policy.max_price"),
        ("[policy]\nmin_accuracy = 97", "policy.min_accuracy"),
        ("[policy]\nmin_dispute = '1 fortnight'", "policy.min_dispute"),
        ("chain = [", "is no TOML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_buyer_settings(write(tmp_path, text), environment=NOTHING)


def test_a_profile_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    path = write(tmp_path, "[profiles.one]\n[profiles.two]\n")
    with pytest.raises(SettingsError, match="no profile 'three'; it has: one, two"):
        read_buyer_settings(path, "three", environment=NOTHING)


def test_the_template_is_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "seller.toml"
    options: dict[str, Any] = {"package": Path("my package"), "keyfile": Path('odd "name".json')}
    write_template(path, price="1.5 ether", url="https://models.example", chain="http://node:8545", **options)
    settings = read_seller_settings(path, environment=NOTHING)
    (listing,) = settings.listings
    offer = listing.offer()
    assert (offer.price_wei, offer.bond_wei, offer.proof_fee_wei) == (15 * 10**17, 3 * 10**17, 15 * 10**15)
    assert (offer.windows.answer_seconds, offer.windows.dispute_seconds) == (3600, 24 * 3600)
    assert settings.keyfile == 'odd "name".json'
    assert listing.package == tmp_path / "my package"
    assert settings.endpoint == "https://models.example"
    with pytest.raises(SettingsError, match="exists already"):
        write_template(path, price="1 ether", url="https://models.example", chain="x", **options)


def test_the_template_names_every_setting_of_a_service(tmp_path: Path) -> None:
    path = tmp_path / "seller.toml"
    write_template(path, package=Path("p"), price="1 ether", keyfile=Path("k"), url="http://127.0.0.1:1", chain="c")
    text = path.read_text()
    settings = read_seller_settings(path, environment=NOTHING)
    assert settings.service is not None
    for table in (settings.service, settings.jobs, settings.listings[0], settings.listings[0].windows):
        for name in type(table).model_fields:
            assert f"{name} =" in text or f"{name}]" in text, name


def test_the_engine_can_be_chosen_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "seller.toml"
    write_template(path, package=Path("p"), price="1 ether", keyfile=Path("k"), url="http://127.0.0.1:1", chain="c")
    settings = read_seller_settings(path, environment=NOTHING)
    assert settings.with_engine(None) is settings
    assert settings.with_engine("dask://10.0.0.1:8786").jobs.engine == "dask://10.0.0.1:8786"
    with pytest.raises(SettingsError, match="--engine: engine"):
        settings.with_engine("slurm")


def test_room_is_written_with_its_unit(tmp_path: Path) -> None:
    path = write(tmp_path, '[service]\nurl = "https://a.example"\naccount_storage = "1.5 GiB"\n')
    service = read_seller_settings(path, environment=NOTHING).service
    assert service is not None
    assert service.account_storage == 3 << 29
    with pytest.raises(SettingsError, match=r"service\.account_storage"):
        read_seller_settings(write(tmp_path, '[service]\nurl = "x"\naccount_storage = "4 GB"'), environment=NOTHING)


TOKENS = """
[tokens.USDX]
decimals = 6
addresses = { 1 = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48", 31337 = "0x5fbdb2315678afecb367f032d93f642f64180aa3" }
"""
USDX = "0x5FbDB2315678afecb367f032d93F642f64180aa3"


def test_prices_are_in_the_tokens_that_the_settings_name(tmp_path: Path) -> None:
    path = write(tmp_path, 'policy.max_price = ["2 ether", "200 USDX"]\npolicy.max_fee = "0.5 USDX"\n' + TOKENS)
    settings = read_buyer_settings(path, environment=NOTHING)
    policy = settings.policy.policy(settings.currencies(31337))
    assert policy.tokens == (TokenLimits(USDX, 200_000_000, 500_000),)
    assert (policy.ether, policy.maximum_price_wei, policy.maximum_fee_wei) == (True, 2 * 10**18, None)
    assert policy.currencies.of(USDX.lower()).format(1_500_000) == "1.5 USDX"
    elsewhere = settings.policy.policy(settings.currencies(5))  # where nobody has named the token
    assert (elsewhere.tokens, elsewhere.ether) == ((), True)


def test_who_names_a_price_in_a_token_alone_pays_no_ether(tmp_path: Path) -> None:
    path = write(tmp_path, TOKENS)
    flag = read_buyer_settings(path, given={"policy": {"max_price": "200 USDX"}}, environment=NOTHING)
    assert not flag.policy.policy(flag.currencies(31337)).ether
    assert not flag.policy.policy(flag.currencies(5)).ether
    assert read_buyer_settings(path, environment=NOTHING).policy.policy().ether


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("policy.max_price = '200 USDC'\n" + TOKENS, "policy.max_price"),
        ("policy.max_price = ['1 USDX', '2 USDX']\n" + TOKENS, "two amounts in one currency"),
        ("policy.policy_contracts = ['0x12']\n" + TOKENS, "no address"),
        (TOKENS.replace("USDX", "gwei"), "chain's own currency"),
        (TOKENS.replace("USDX", "ETH"), "chain's own currency"),
        (TOKENS.replace("USDX", "'U S'"), "no token that amounts can be written in"),
        (TOKENS + TOKENS.replace("USDX", "OTHER"), "same symbol or the same address"),
        (TOKENS.replace("decimals = 6", "decimals = 39"), "decimals"),
        (TOKENS.replace("decimals = 6", ""), "tokens.USDX.decimals: is missing"),
        (TOKENS.replace("A0b8", "A0B8"), "no address"),  # a typing error, by the checksum
    ],
)
def test_a_mistake_about_tokens_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(SettingsError, match=named):
        read_buyer_settings(write(tmp_path, text), environment=NOTHING)


def test_a_listing_is_in_one_currency(tmp_path: Path) -> None:
    listing = '[[listings]]\npackage = "p"\nprice = "200 USDX"\nbond = "40 USDX"\npolicy = "rules"\nsupersedes = 7\n'
    settings = read_seller_settings(write(tmp_path, listing + TOKENS), environment=NOTHING)
    offer = settings.listings[0].offer(settings.currencies(31337))
    assert (offer.price_wei, offer.bond_wei, offer.proof_fee_wei, offer.token) == (200_000_000, 40_000_000, 0, USDX)
    assert (offer.policy, offer.supersedes) == (periphery_address(Periphery.LISTING_POLICY), 7)
    with pytest.raises(QuantityError, match="nothing is called 'USDX' on this chain"):
        settings.listings[0].offer(settings.currencies(5))
    with pytest.raises(SettingsError, match="are in one currency, not in USDX and ether"):
        read_seller_settings(write(tmp_path, listing.replace("40 USDX", "1 ether") + TOKENS), environment=NOTHING)
    named = listing.replace('"rules"', f'"{USDX}"')
    own = read_seller_settings(write(tmp_path, named + TOKENS), environment=NOTHING)
    assert own.listings[0].offer(own.currencies(1)).policy == USDX
