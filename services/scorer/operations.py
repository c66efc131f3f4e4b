"""svc.score.embed, svc.score.models → the loaded model → the vector of a text or an event, and the version."""

from __future__ import annotations

from typing import Any

from penstock.contracts import Contracts
from penstock.errors import Refused, Unavailable
from penstock.rpc.caller import RequestCaller
from penstock.rpc.messages import Embedding, EmbedRequest, LoadedModel, LoadedModels, ModelRef, ModelsQuery
from penstock.scoring.vectors import to_text
from penstock.services.scorer.logic import Scorer

Json = dict[str, Any]


class Operations:
    """The operations of svc.score."""

    def __init__(self, contracts: Contracts, scorer: Scorer) -> None:
        self._contracts = contracts
        self._scorer = scorer

    async def embed(self, request: Json, caller: RequestCaller) -> Json:
        """EmbedRequest → Embedding. Raises Refused TYPE_UNKNOWN, Unavailable MODEL_UNAVAILABLE."""
        del caller  # an embedding reveals nothing of what is stored
        query = EmbedRequest.read(request)
        if query.type not in self._contracts.types:
            raise Refused("TYPE_UNKNOWN", f"{query.type} is not a type of the contract", pointer="/type")
        model = self._scorer.model
        if model is None:
            raise Unavailable("MODEL_UNAVAILABLE", "no model is loaded", retry_after=5)
        data = query.data if query.text is None else self._as_data(query.type, query.text)
        features = self._scorer.extractor.extract([(query.type, {"source": "", "data": data}, "")])
        by = model.identity
        return Embedding(
            vector=to_text(model.answer(features).vector[0].tolist()),
            model=ModelRef.model_validate(by.to_json()),
            pattern=features.patterns[0].text,
            pattern_id=features.patterns[0].id,
        ).to_json()

    async def models(self, request: Json, caller: RequestCaller) -> Json:
        """ModelsQuery → LoadedModels."""
        del caller  # which models there are is no secret
        ModelsQuery.read(request)
        model = self._scorer.model
        loaded = [LoadedModel.model_validate({**model.identity.to_json(), "types": model.types})] if model else []
        return LoadedModels(models=loaded).to_json()

    def _as_data(self, type: str, text: str) -> Json:
        """The data of an event of which only the text is known."""
        score = self._contracts.types[type].score
        path = (*score.text, *score.categories, "message")[0]
        data: Any = text
        for name in reversed(path.split(".")):
            data = {name: data}
        return dict(data)
